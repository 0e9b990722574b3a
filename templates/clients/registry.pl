#!/usr/bin/perl
# Pulls requests from Seawall, first in first out, into a folder: one file for each, named by its ticket.
#   perl registry.pl http://127.0.0.1:8025/soap FOLDER [until-empty]
# Name and password, where they are needed: REGISTRY_USER and REGISTRY_PASSWORD in the environment.
# May be killed at any moment: started again it goes on where it was, and writes no request twice.
use strict; use warnings;
use SOAP::Lite;
use MIME::Base64 qw(decode_base64);
use Digest::SHA qw(sha256_hex);

my ($url, $folder, $until_empty) = @ARGV;
die "usage: registry.pl URL FOLDER [until-empty]\n" unless defined $folder;
mkdir $folder;
my $soap = SOAP::Lite->default_ns('urn:seawall:registry:1')->autotype(0)->proxy($url, timeout => 90);
sub SOAP::Transport::HTTP::Client::get_basic_credentials { @ENV{qw(REGISTRY_USER REGISTRY_PASSWORD)} }

# Calls an operation. Dies with the code of the Fault (LEASE_HELD ...), or with what the transport says.
sub ask {
    my ($operation, @arguments) = @_;
    my @data;
    while (my ($name, $value) = splice @arguments, 0, 2) { push @data, SOAP::Data->name($name => $value) }
    my $answer = eval { $soap->call($operation, @data) } or die $@ || "no answer\n";
    return $answer unless $answer->fault;
    my $detail = $answer->faultdetail;
    die ref $detail ? "$detail->{QueueFault}{code}\n" : $answer->faultstring . "\n";
}

# Writes a file so that it is there whole or not at all.
sub keep {
    my ($name, $bytes) = @_;
    open my $file, '>:raw', "$folder/.new" or die "$folder: $!";
    print $file $bytes and close $file or die $!;
    rename "$folder/.new", "$folder/$name" or die $!;
}

sub process {    # Replace this with your own work. It may see a request twice after a crash: the ticket tells.
    my ($request) = @_;
    my $message = decode_base64($request->{message});
    die "$request->{ticket} is damaged\n" unless sha256_hex($message) eq $request->{sha256};
    keep($request->{ticket} =~ tr/*/_/r . ".eml", $message);
}

# The same attempt after a crash gives the same batch: its name is on disk before it is used.
my $attempt = -e "$folder/.attempt" ? do { open my $f, '<', "$folder/.attempt" or die $!; <$f> } : 1;
while (1) {
    keep('.attempt', $attempt);
    my $done = eval {
        my $wait = $until_empty ? 0 : 30_000;
        my $batch = ask('Fetch', clientId => 'registry.pl', attemptId => $attempt, max => 100, waitMs => $wait);
        my @requests = $batch->valueof('//FetchResponse/request');
        process($_) for @requests;
        ask('Confirm', leaseToken => $batch->valueof('//leaseToken'), throughSequence => $requests[-1]{sequence})
            if @requests;
        @requests || 'empty';
    };
    if (!$done) { warn $@; sleep 5 if $@ ne "LEASE_LOST\n" }
    elsif ($done eq 'empty') { last if $until_empty }
    $attempt++ if $done || $@ eq "LEASE_LOST\n";
}
