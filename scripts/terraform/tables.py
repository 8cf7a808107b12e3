"""Compares the tables that Terraform made, as DynamoDB describes them, with those that `emcrm init-db --print` describes.

Usage: tables.py MAIN_TABLE EMAIL_TABLE < described.json     (AWS_ENDPOINT_URL and AWS_REGION say where)
"""

import json
import sys

import boto3


def keys(schema, attributes):
    found = {part["KeyType"].lower(): part["AttributeName"] for part in schema}
    for name in found.values():
        if attributes.get(name) != "S":
            sys.exit(f"The key {name} is not text.")
    return found


def made(client, name):
    table = client.describe_table(TableName=name)["Table"]
    attributes = {one["AttributeName"]: one["AttributeType"] for one in table["AttributeDefinitions"]}
    ttl = client.describe_time_to_live(TableName=name)["TimeToLiveDescription"]
    indexes = table.get("GlobalSecondaryIndexes", [])
    return {
        "keys": keys(table["KeySchema"], attributes),
        "ttl": ttl.get("AttributeName") if ttl["TimeToLiveStatus"] in ("ENABLED", "ENABLING") else None,
        "indexes": {one["IndexName"]: keys(one["KeySchema"], attributes) | {"projection": one["Projection"]["ProjectionType"]} for one in indexes},
        "unused attributes": sorted(attributes.keys() - {one["AttributeName"] for schema in [table["KeySchema"], *(i["KeySchema"] for i in indexes)] for one in schema}),
    }


def expected(table):
    indexes = {}
    for one in table["indexes"]:
        indexes[one["name"]] = {key: one[key] for key in ("hash", "range") if one.get(key)} | {"projection": "ALL"}
    return {"keys": table["keys"], "ttl": table["ttl"], "indexes": indexes, "unused attributes": []}


def main():
    described = {table["id"]: table for table in json.load(sys.stdin)["tables"]}
    names = dict(zip(("main", "email"), sys.argv[1:], strict=True))
    if described.keys() != names.keys():
        sys.exit(f"The product has the tables {sorted(described)}, this compares {sorted(names)}.")
    client = boto3.client("dynamodb")
    failed = False
    for id, name in names.items():
        is_made, wanted = made(client, name), expected(described[id])
        if is_made != wanted:
            failed = True
            print(f"The table {name} is\n  {json.dumps(is_made, sort_keys=True)}\nand the product needs\n  {json.dumps(wanted, sort_keys=True)}", file=sys.stderr)
        else:
            print(f"  the table {name} is as the product makes it: keys, {len(wanted['indexes'])} indexes, ttl {wanted['ttl']}")
    if failed:
        sys.exit(1)


main()
