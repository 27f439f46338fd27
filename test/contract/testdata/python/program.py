"""Uses the API with a client that openapi-python-client generates into the folder sluice."""

import sys

from sluice.api.events import publish_events
from sluice.api.integrations import get_integration, get_integration_health, register_integration
from sluice.api.rejected_events import list_rejected_events
from sluice.client import AuthenticatedClient
from sluice.models import IntegrationType, NewCallback, NewEvent, NewEventPayload, Registration

api = AuthenticatedClient(base_url=sys.argv[1], token=sys.argv[2])
payload = {"order": 1, "lines": [{"sku": "a-1", "price": 19.5, "gift": False, "note": None}]}
event = NewEvent(name="order.created", payload=NewEventPayload.from_dict(payload))
print("published", len(publish_events.sync(client=api, body=event).events))
callback = NewCallback(callback_url="http://receiver.example/hooks")
registration = Registration(id="made", integration_type=IntegrationType.PERMANENT, callback_parameters=callback)
register_integration.sync(client=api, body=registration)
made = get_integration.sync("made", client=api)
print("made", made.id, made.status.value, made.integration_type.value, made.callback_parameters.callback_url)
print("health", get_integration_health.sync("made", client=api).state.value)
for e in list_rejected_events.sync("refusing", client=api).rejected_events:
    created_at = e.created_at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    print("rejected", e.event_name, e.reason.value, e.status_code, created_at)
