"""What runs on a host: one verb, one JSON object in, one out.

Standard library and Python 3.9 only, and nothing of `ops` outside this package.
"""
