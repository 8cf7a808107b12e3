"""moto with what the AWS provider of Terraform asks for and moto lacks: tags of scaling targets, whether a configuration set of SES sends, the
tokens of a mail domain's DKIM records, and the roles of an identity pool."""

import json
import sys

from moto.applicationautoscaling.responses import ApplicationAutoScalingResponse
from moto.cognitoidentity.responses import CognitoIdentityResponse
from moto.ses.models import ConfigurationSet, EmailIdentity

ApplicationAutoScalingResponse.list_tags_for_resource = lambda self: json.dumps({"Tags": {}})

to_dict_v2 = ConfigurationSet.to_dict_v2


def with_sending_as_a_flag(self):
    described = to_dict_v2(self)
    enabled = described["SendingOptions"]["SendingEnabled"]
    if isinstance(enabled, dict):
        enabled = enabled.get("SendingEnabled", True)
    described["SendingOptions"] = {"SendingEnabled": bool(enabled)}
    return described


ConfigurationSet.to_dict_v2 = with_sending_as_a_flag

identity_init = EmailIdentity.__init__


def with_tokens(self, *args, **kwargs):
    identity_init(self, *args, **kwargs)
    self.dkim_attributes["Tokens"] = [f"token{number}" for number in (1, 2, 3)]


EmailIdentity.__init__ = with_tokens

roles_of_pools = {}


def set_identity_pool_roles(self):
    asked = json.loads(self.body)
    roles_of_pools[asked["IdentityPoolId"]] = asked.get("Roles", {})
    return "{}"


def get_identity_pool_roles(self):
    pool = json.loads(self.body)["IdentityPoolId"]
    return json.dumps({"IdentityPoolId": pool, "Roles": roles_of_pools.get(pool, {})})


CognitoIdentityResponse.set_identity_pool_roles = set_identity_pool_roles
CognitoIdentityResponse.get_identity_pool_roles = get_identity_pool_roles

from moto.server import main  # noqa: E402 - after the changes above

main(sys.argv[1:])
