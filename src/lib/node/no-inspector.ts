// Keeps Node's inspector closed: without a listener of ours SIGUSR1 opens it, and whoever may talk to a port of this machine
// could then run what it likes in our process. For all threads of the process; imported before anything else.

process.on('SIGUSR1', () => undefined);
