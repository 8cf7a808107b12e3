"""Reads `terraform show -json PLAN` of a second plan and fails on every change but those that the emulator alone causes.

A resource may differ only in the attributes named here, each with the reason. A change that creates, replaces or deletes is never allowed.
"""

import json
import sys

ALLOWED = {
    # moto knows nothing of rebalancing, so the provider reads back nothing and plans its default.
    "aws_ecs_service": {"availability_zone_rebalancing"},
    # moto forgets the text of a rule that names a group.
    "aws_vpc_security_group_ingress_rule": {"description"},
    # moto leaves empty blocks out.
    "aws_sesv2_configuration_set": {"suppression_options", "tracking_options", "vdm_options"},
    "aws_sesv2_email_identity": {"tags", "tags_all"},
    # moto forgets which signature a topic has; while that is to be mended, the policy that names the topic counts as not yet known.
    "aws_sns_topic": {"signature_version"},
    "aws_sns_topic_policy": {"policy"},
}

# Only while the value is not known before the apply.
UNKNOWN_ONLY = {"aws_sns_topic_policy"}


def differing(change):
    before, after = change.get("before") or {}, change.get("after") or {}
    unknown = change.get("after_unknown") or {}
    return {key for key in before.keys() | after.keys() if before.get(key) != after.get(key)} | {key for key, value in unknown.items() if value is True}


def main():
    plan = json.load(sys.stdin)
    faults, borne = [], []
    for resource in plan.get("resource_changes", []):
        actions = resource["change"]["actions"]
        if actions in (["no-op"], ["read"]):
            continue
        attributes = differing(resource["change"])
        text = f"{resource['address']}: {' and '.join(actions)} {', '.join(sorted(attributes))}"
        unknown = {key for key, value in (resource["change"].get("after_unknown") or {}).items() if value is True}
        known = attributes - unknown if resource["type"] in UNKNOWN_ONLY else set()
        if actions == ["update"] and attributes <= ALLOWED.get(resource["type"], set()) and not known:
            borne.append(text)
        else:
            faults.append(text)
            for key in sorted(attributes):
                faults.append(f"    {key}: {(resource['change'].get('before') or {}).get(key)!r} -> {(resource['change'].get('after') or {}).get(key)!r}")
    for text in borne:
        print(f"  not read back by the emulator: {text}")
    for text in faults:
        print(text, file=sys.stderr)
    if faults:
        sys.exit("The second plan changes what the first apply made.")
    print(f"  the second plan is clean but for {len(borne)} known")


main()
