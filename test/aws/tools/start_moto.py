"""Starts moto on loopback and prints its URL once it listens.

MOTO_PORT, if set, is the port on which moto's state machines call services: the
port of the proxy in front of it. By default they call moto itself.
"""

import logging
import os

from moto.core.config import default_user_config
from moto.moto_server.werkzeug_app import (
    DomainDispatcherApplication,
    create_backend_app,
)
from moto.stepfunctions.parser.asl.component.state.exec.state_task.service import (
    state_task_service_sfn,
)
from moto.stepfunctions.parser.backend.execution import Execution
from werkzeug.serving import make_server

# Execute state machines; never run functions in containers.
default_user_config["stepfunctions"] = {"execute_state_machine": True}
default_user_config["lambda"] = {"use_docker": False}

# moto 5.2.1 deep-copies the running execution to answer a second StartExecution,
# which fails because it holds a lock (moto issue 10077). Return it uncopied.
Execution.__deepcopy__ = lambda self, memo: self

# Nor can its state machines start an execution: it passes the parameters as the
# definition spells them but accepts only names that begin in lower case, and it
# cannot serialize the time in the response.
task = state_task_service_sfn.StateTaskServiceSfn
call = task._eval_service_task


def spelt(self, env, resource_runtime_part, normalised_parameters, state_credentials):
    """Call with lower-case parameter names; return the start date as text."""
    parameters = {k[0].lower() + k[1:]: v for k, v in normalised_parameters.items()}
    call(self, env, resource_runtime_part, parameters, state_credentials)
    env.stack[-1]["startDate"] = env.stack[-1]["startDate"].isoformat()


task._eval_service_task = spelt

logging.getLogger("werkzeug").setLevel(logging.ERROR)  # no log line per request

server = make_server(
    "127.0.0.1", 0, DomainDispatcherApplication(create_backend_app), threaded=True
)
os.environ.setdefault("MOTO_PORT", str(server.server_port))
print(f"ready http://127.0.0.1:{server.server_port}", flush=True)
server.serve_forever()
