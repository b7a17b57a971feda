"""One cell, one container: the request, the script, the streams, the end."""
