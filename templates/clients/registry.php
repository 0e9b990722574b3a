<?php
// Pulls requests from Seawall, first in first out, into a folder: one file for each, named by its ticket.
//   php registry.php http://127.0.0.1:8025/soap FOLDER [until-empty]
// Name and password, where they are needed: REGISTRY_USER and REGISTRY_PASSWORD in the environment.
// May be killed at any moment: started again it goes on where it was, and writes no request twice.
if ($argc < 3) exit("usage: registry.php URL FOLDER [until-empty]\n");
[, $url, $folder] = $argv;
$untilEmpty = isset($argv[3]);
is_dir($folder) || mkdir($folder);
ini_set('default_socket_timeout', 90);

function connect($url) {
    $options = ['exceptions' => true, 'features' => SOAP_SINGLE_ELEMENT_ARRAYS, 'cache_wsdl' => WSDL_CACHE_NONE];
    if (getenv('REGISTRY_USER')) $options += ['login' => getenv('REGISTRY_USER'), 'password' => getenv('REGISTRY_PASSWORD')];
    return new SoapClient("$url?wsdl", $options);
}

// Writes a file so that it is there whole or not at all.
function keep($folder, $name, $bytes) {
    if (file_put_contents("$folder/.new", $bytes) !== strlen($bytes)) throw new RuntimeException("$folder cannot be written");
    rename("$folder/.new", "$folder/$name");
}

function process($folder, $request) { // Replace this with your own work. After a crash it may see a request twice: the ticket tells.
    if (hash('sha256', $request->message) !== $request->sha256) throw new RuntimeException("$request->ticket is damaged");
    keep($folder, strtr($request->ticket, "*", "_") . ".eml", $request->message);
}

// The same attempt after a crash gives the same batch: its name is on disk before it is used.
$attempt = is_file("$folder/.attempt") ? (int) file_get_contents("$folder/.attempt") : 1;
$soap = null;
while (true) {
    keep($folder, '.attempt', (string) $attempt);
    try {
        $soap ??= connect($url);
        $batch = $soap->Fetch([
            'clientId' => 'registry.php', 'attemptId' => $attempt, 'max' => 100, 'waitMs' => $untilEmpty ? 0 : 30000,
        ]);
        $requests = $batch->request ?? [];
        foreach ($requests as $request) process($folder, $request);
        if ($requests) {
            $soap->Confirm(['leaseToken' => $batch->leaseToken, 'throughSequence' => end($requests)->sequence]);
        } elseif ($untilEmpty) {
            break;
        }
        $attempt++;
    } catch (SoapFault $fault) {
        $code = $fault->detail->QueueFault->code ?? $fault->getMessage();
        fwrite(STDERR, "$code\n");
        if ($code === 'LEASE_LOST') $attempt++;
        else sleep(5);
    }
}
