#!/usr/bin/env python3
"""Has the server's OpenAPI document judged by a foreign validator, and a real answer by the document's schemas.

Takes the binary as its first argument. Needs the packages of requirements.txt in this folder.
"""

import json
import pathlib
import sys
import tempfile
import urllib.request

import jsonschema
from openapi_spec_validator import OpenAPIV31SpecValidator

from life_of_a_hold import Server

CREATE = "/stockade.v1.DropService/CreateDrop"
DROP = {"id": "knife", "items": [{"sku": "KNIFE/20cm", "quantity": "3"}]}


def post(base, path, message):
    """Makes a call by the Connect protocol."""
    head = {"content-type": "application/json"}
    request = urllib.request.Request(base + path, json.dumps(message).encode(), head)
    with urllib.request.urlopen(request, timeout=10) as answer:
        return json.load(answer)


def judge(base):
    """The document by the validator, and an answer by the document."""
    with urllib.request.urlopen(f"{base}/openapi.json", timeout=10) as answer:
        document = json.load(answer)
    OpenAPIV31SpecValidator(document).validate()
    calls = [path for path in document["paths"] if path.startswith("/stockade.v1.")]
    assert len(calls) > 20, calls
    for page in ("/v1/events", "/v1/hooks", "/v1/drops/{id}", "/drops/{id}", "/calendar.ics"):
        assert page in document["paths"], page

    made = post(base, CREATE, {"drop": DROP})
    schema = document["paths"][CREATE]["post"]["responses"]["200"]["content"]["application/json"]["schema"]
    answers = jsonschema.Draft202012Validator({**schema, "components": document["components"]})
    answers.validate(made)
    wrong = {"drop": {**made["drop"], "items": [{"sku": 7}]}}
    assert list(answers.iter_errors(wrong)), "the schema finds nothing"


def main():
    with tempfile.TemporaryDirectory() as folder:
        server = Server(pathlib.Path(sys.argv[1]).resolve(), pathlib.Path(folder) / "data")
        try:
            judge(f"http://{server.http}")
        finally:
            server.kill()
    print("the OpenAPI document is valid, and answers are as it says")


if __name__ == "__main__":
    main()
