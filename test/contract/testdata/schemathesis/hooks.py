"""What schemathesis has to be told in code."""

import schemathesis


@schemathesis.serializer("application/x-ndjson")
def lines(ctx, value):
    """A body of lines is sent as it is."""
    return value if isinstance(value, bytes) else str(value).encode()
