"""Hooks of schemathesis for npm run test:contract.

SALLY_CONTRACT_PLAN names a file of this form, made by plan.ts:
  {"seed": 1, "operations": {"<operationId>": {"examples": [{"path": {}, "query": {}, "headers": {}, "body": …}]}}}
The first example of an operation is sent as it is. The ids of the others, and fields of their bodies, stand in for a
part of what is generated, so that cases get past "there is no such thing" and reach the rules behind it. Every operation
has a workspace of its own. All choices depend on the seed, the operation and the case's number alone.

SALLY_CONTRACT_CASES names the file that gets a line of JSON for each answer, and one for each check that it fails.
"""

import json
import os
import random
from collections import Counter
from copy import deepcopy

import schemathesis

with open(os.environ["SALLY_CONTRACT_PLAN"], encoding="utf-8") as file:
    PLAN = json.load(file)
CASES = open(os.environ["SALLY_CONTRACT_CASES"], "a", encoding="utf-8", buffering=1)
NUMBERS = Counter()


def operation_id(operation):
    return operation.definition.raw["operationId"]


def phase_of(case):
    return str(case.meta.phase.name.value) if case.meta else "examples"


@schemathesis.hook
def before_add_examples(context, examples):
    operation = context.operation
    example = PLAN["operations"][operation_id(operation)]["examples"][0]
    values = {
        "path_parameters": example["path"],
        "query": example["query"],
        "headers": example["headers"],
    }
    if "body" in example:
        values["body"] = example["body"]
        values["media_type"] = example["mediaType"]
    examples[:] = [operation.Case(**deepcopy(values))]


@schemathesis.hook
def before_call(context, case, kwargs):
    name = operation_id(case.operation)
    if phase_of(case) == "examples":
        return
    NUMBERS[name] += 1
    chance = random.Random(f"{PLAN['seed']}/{name}/{NUMBERS[name]}")
    examples = PLAN["operations"][name]["examples"]
    example = chance.choice(examples[1:] or examples)
    case.headers.update(example["headers"])
    # One in eight keeps the generated ids, which belong to nothing or are malformed.
    if example["path"] and chance.random() > 0.125:
        case.path_parameters = {**(case.path_parameters or {}), **example["path"]}
    known = example.get("body")
    if isinstance(known, dict) and isinstance(case.body, dict) and chance.random() > 0.3:
        case.body = mixed(known, case.body, chance)


def mixed(known, generated, chance):
    """A body that is right but for one or two fields, which are the generated ones."""
    body = deepcopy(known)
    names = sorted(generated, key=str)
    for name in chance.sample(names, min(len(names), chance.randint(0, 2))):
        body[name] = generated[name]
    return body


def text(value, limit):
    if value is None:
        return None
    if isinstance(value, bytes):
        value = value.decode("utf-8", "backslashreplace")
    value = str(value)
    return value if len(value) <= limit else value[:limit] + "…"


@schemathesis.hook
def after_call(context, case, response):
    write({"operation": operation_id(case.operation), "status": response.status_code})


@schemathesis.hook
def filter_failure(context, failure, case, response):
    request = response.request
    write(
        {
            "operation": operation_id(case.operation),
            "status": response.status_code,
            "failure": {
                "title": failure.title,
                "message": text(failure.message, 1000),
                "method": request.method,
                "url": request.url,
                "contentType": text(request.headers.get("Content-Type"), 200),
                "body": text(request.body, 4000),
                "answer": text(response.content, 1000),
            },
        }
    )
    return True


def write(line):
    CASES.write(json.dumps(line) + "\n")
