#!/bin/sh
# The request's body comes on standard input; standard error goes to `fission function logs`.
echo "$REQUEST_METHOD $REQUEST_URI" >&2
tr '[:lower:]' '[:upper:]'
