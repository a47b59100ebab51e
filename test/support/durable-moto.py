"""moto's S3 server over a folder: killed and started again, it has all that it had answered for.

    durable-moto.py PORT FOLDER

Every write is put in the folder before its answer goes out, an object to a file. Objects that came in parts have another ETag
after a restart; uploads that were under way are gone.
"""

import hashlib
import json
import os
import sys
import threading

from moto.core import DEFAULT_ACCOUNT_ID
from moto.s3.models import FakeKey, s3_backends
from moto.server import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import WSGIRequestHandler, run_simple

port, folder = int(sys.argv[1]), sys.argv[2]
backend = s3_backends[DEFAULT_ACCOUNT_ID]["aws"]
moto = DomainDispatcherApplication(create_backend_app)
writing = threading.Lock()

# moto reads an object for its ETag without the lock that reading its content takes: of two that ask at once, one finds the
# other's end of the file, and the object keeps the ETag of an empty one.
etag_unlocked = FakeKey.etag.fget


def etag_locked(key):
    with key.lock:
        return etag_unlocked(key)


FakeKey.etag = property(etag_locked)


def file_of(bucket, key):
    return os.path.join(folder, hashlib.sha256(f"{bucket}\n{key}".encode()).hexdigest())


def keep(bucket, key):
    """Puts what is there now in the folder."""
    file = file_of(bucket, key)
    found = backend.get_object(bucket, key) if key else True
    if found is None:
        if os.path.exists(file):
            os.remove(file)
        return
    with open(f"{file}.tmp", "wb") as out:
        out.write(json.dumps([bucket, key]).encode() + b"\n")
        if key:
            out.write(found.value)
    os.replace(f"{file}.tmp", file)


def application(environ, start_response):
    if environ["REQUEST_METHOD"] in ("GET", "HEAD"):
        return moto(environ, start_response)
    bucket, _, key = environ["PATH_INFO"].encode("latin1").decode().lstrip("/").partition("/")
    with writing:
        started = []
        body = b"".join(moto(environ, lambda *args: started.append(args)))
        if started[0][0].startswith("2"):
            keep(bucket, key)
    start_response(*started[0])
    return [body]


objects = []
for name in os.listdir(folder):
    if name.endswith(".tmp"):
        continue
    with open(os.path.join(folder, name), "rb") as file:
        objects.append((json.loads(file.readline()), file.read()))
for (bucket, key), value in sorted(objects, key=lambda each: each[0]):
    if key:
        backend.put_object(bucket, key, value)
    else:
        backend.create_bucket(bucket, "us-east-1")

# The answers of a connection one after another, as clients that keep theirs expect.
WSGIRequestHandler.protocol_version = "HTTP/1.1"
run_simple("127.0.0.1", port, application, threaded=True, use_reloader=False)
