#!/bin/sh
# An image starts no services while it is built.
exit 101
