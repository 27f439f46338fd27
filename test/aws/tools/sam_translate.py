"""Print the CloudFormation template that AWS SAM generates from a SAM template.

usage: sam_translate.py template.yaml [Parameter=value ...] > translated.json

It makes no AWS calls: managed policies are not looked up (the template should
use none), and a placeholder stands for uploaded code. A state machine's
definition is inlined from its file, so that a linter sees its substitutions.
"""

import json
import os
import pathlib
import sys

import boto3
from samtranslator.parser.parser import Parser
from samtranslator.translator.translator import Translator
from samtranslator.yaml_helper import yaml_parse

# The translator needs a value for every parameter without a default.
PARAMETERS = {"Issuer": "https://issuer.example/", "Audience": "sluice"}


def package(document, folder):
    """Replace local paths, as packaging would."""
    for resource in document["Resources"].values():
        properties = resource.get("Properties", {})
        if resource["Type"] == "AWS::Serverless::Function" and isinstance(properties.get("CodeUri"), str):
            properties["CodeUri"] = {"Bucket": "packages", "Key": "code.zip"}
        if resource["Type"] == "AWS::Serverless::StateMachine" and isinstance(properties.get("DefinitionUri"), str):
            properties["Definition"] = json.loads((folder / properties.pop("DefinitionUri")).read_text())


def main(path, *parameters):
    """Translate the template at path."""
    # The region must be set but does not matter.
    session = boto3.session.Session(region_name=os.environ.get("AWS_REGION", "eu-west-1"))
    source = pathlib.Path(path)
    document = yaml_parse(source.read_text())
    package(document, source.parent)
    values = PARAMETERS | dict(p.split("=", 1) for p in parameters)
    translator = Translator({}, Parser(), boto_session=session)
    json.dump(translator.translate(document, values), sys.stdout, indent=1)
    print()


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    main(*sys.argv[1:])
