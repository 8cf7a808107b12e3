"""Makes generated requests reach the rules, instead of ending at the first check.

Left to itself, schemathesis sends events that end before they start and addresses that do not exist. The hooks mend such values in
some of the cases, never in all, so that both sides of each rule are visited.
"""

import hashlib
import json

import schemathesis

STARTS = "2026-11-22T09:53:18.123456"
ENDS = "2026-11-22T19:30:00"


def is_mended(body: dict) -> bool:
    """Three of four bodies, always the same ones."""
    digest = hashlib.sha256(json.dumps(body, sort_keys=True, default=str).encode("utf-8", "surrogatepass")).digest()
    return digest[0] % 4 != 0


def short(body: dict) -> str:
    return hashlib.sha256(json.dumps(body, sort_keys=True, default=str).encode("utf-8", "surrogatepass")).hexdigest()[:12]


@schemathesis.hook
def map_body(ctx, body):
    if not isinstance(body, dict) or not is_mended(body):
        return body
    mended = dict(body)
    if isinstance(mended.get("startAt"), str) and isinstance(mended.get("endAt"), str):
        mended["startAt"], mended["endAt"] = STARTS, ENDS
    if isinstance(mended.get("email"), str):
        mended["email"] = f"{short(body)}@example.com"
    for low, high in (("minAttended", "maxAttended"), ("minHosted", "maxHosted")):
        if isinstance(mended.get(low), int) and isinstance(mended.get(high), int):
            mended[low], mended[high] = sorted((mended[low], mended[high]))
    return mended
