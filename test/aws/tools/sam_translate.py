"""Print the CloudFormation template that AWS SAM makes of a SAM template.

usage: sam_translate.py template.yaml [Parameter=value ...] > translated.json

It calls nothing: the account is not asked for the managed policies, of which
the template should use none, and code that would be uploaded is named by a
placeholder. A state machine's definition is put into the template from its
file, so that a linter sees its substitutions.
"""

import json
import os
import pathlib
import sys

import boto3
from samtranslator.parser.parser import Parser
from samtranslator.translator.translator import Translator
from samtranslator.yaml_helper import yaml_parse

# The translator wants a value for every parameter that has no default.
PARAMETERS = {"Issuer": "https://issuer.example/", "Audience": "sluice"}


def package(document, folder):
    """Do what packaging would: replace local paths."""
    for resource in document["Resources"].values():
        properties = resource.get("Properties", {})
        if resource["Type"] == "AWS::Serverless::Function" and isinstance(properties.get("CodeUri"), str):
            properties["CodeUri"] = {"Bucket": "packages", "Key": "code.zip"}
        if resource["Type"] == "AWS::Serverless::StateMachine" and isinstance(properties.get("DefinitionUri"), str):
            properties["Definition"] = json.loads((folder / properties.pop("DefinitionUri")).read_text())


def main(path, *parameters):
    """Translate the template at path."""
    # The region decides nothing but must be one; telemetry is not wanted.
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
