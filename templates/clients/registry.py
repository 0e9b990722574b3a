"""Pulls requests from Seawall, first in first out, into a folder: one file for each, named by its ticket.

    python3 registry.py http://127.0.0.1:8025/soap FOLDER [until-empty]

Name and password, where they are needed: REGISTRY_USER and REGISTRY_PASSWORD in the environment. Needs zeep.
May be killed at any moment: started again it goes on where it was, and writes no request twice.
"""
import hashlib, os, sys, time
import requests, zeep

if len(sys.argv) < 3:
    sys.exit(__doc__)
url, folder, until_empty = sys.argv[1], sys.argv[2], len(sys.argv) > 3
os.makedirs(folder, exist_ok=True)


def connect():
    session = requests.Session()
    if "REGISTRY_USER" in os.environ:
        session.auth = (os.environ["REGISTRY_USER"], os.environ["REGISTRY_PASSWORD"])
    return zeep.Client(url + "?wsdl", transport=zeep.Transport(session=session, operation_timeout=90))


def keep(name, content):
    """Writes a file so that it is there whole or not at all."""
    with open(os.path.join(folder, ".new"), "wb") as file:
        file.write(content)
    os.rename(os.path.join(folder, ".new"), os.path.join(folder, name))


def process(request):
    """Replace this with your own work. After a crash it may see a request twice: the ticket tells."""
    if hashlib.sha256(request.message).hexdigest() != request.sha256:
        raise ValueError(request.ticket + " is damaged")
    keep(request.ticket.replace("*", "_") + ".eml", request.message)


# The same attempt after a crash gives the same batch: its name is on disk before it is used.
memory = os.path.join(folder, ".attempt")
attempt = int(open(memory).read()) if os.path.exists(memory) else 1
soap = None
while True:
    keep(".attempt", str(attempt).encode())
    try:
        soap = soap or connect()
        wait = 0 if until_empty else 30000
        batch = soap.service.Fetch(clientId="registry.py", attemptId=str(attempt), max=100, waitMs=wait)
        for request in batch.request:
            process(request)
        if batch.request:
            soap.service.Confirm(leaseToken=batch.leaseToken, throughSequence=batch.request[-1].sequence)
        elif until_empty:
            break
        attempt += 1
    except (zeep.exceptions.Fault, requests.exceptions.RequestException) as error:
        print(error, file=sys.stderr)
        lost = "LEASE_LOST" in str(error)
        attempt += 1 if lost else 0
        time.sleep(0 if lost else 5)
