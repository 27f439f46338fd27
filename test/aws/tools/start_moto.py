"""Starts moto on loopback and says where once it listens.

MOTO_PORT, if set, is the port at which its state machines call services: that of
the front that stands before it. Without it they call moto itself.
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

# State machines really run, and functions never in containers.
default_user_config["stepfunctions"] = {"execute_state_machine": True}
default_user_config["lambda"] = {"use_docker": False}

# moto 5.2.1 copies the running execution to answer a second StartExecution, and
# cannot, for it holds a lock (its issue 10077). The execution itself will do.
Execution.__deepcopy__ = lambda self, memo: self

# Nor can its machines start an execution: it hands on the parameters as the
# definition spells them, and takes only names that begin with a small letter, and
# it cannot write the time in the answer.
task = state_task_service_sfn.StateTaskServiceSfn
call = task._eval_service_task


def spelt(self, env, resource_runtime_part, normalised_parameters, state_credentials):
    """Calls with names that begin with a small letter, answers with a text."""
    parameters = {k[0].lower() + k[1:]: v for k, v in normalised_parameters.items()}
    call(self, env, resource_runtime_part, parameters, state_credentials)
    env.stack[-1]["startDate"] = env.stack[-1]["startDate"].isoformat()


task._eval_service_task = spelt

logging.getLogger("werkzeug").setLevel(logging.ERROR)  # no line for each request

server = make_server(
    "127.0.0.1", 0, DomainDispatcherApplication(create_backend_app), threaded=True
)
os.environ.setdefault("MOTO_PORT", str(server.server_port))
print(f"ready http://127.0.0.1:{server.server_port}", flush=True)
server.serve_forever()
