# The search domain. Inside the network where one is given; the product signs its requests, so no password is needed there.

data "aws_caller_identity" "current" {}
data "aws_region" "current" {}

locals {
  arn = "arn:aws:es:${data.aws_region.current.name}:${data.aws_caller_identity.current.account_id}:domain/${var.name}"
}

resource "aws_security_group" "this" {
  count       = var.vpc == null ? 0 : 1
  name        = "${var.name}-search"
  description = "Search domain: HTTPS from the product"
  vpc_id      = var.vpc.id
  tags        = var.tags
}

resource "aws_vpc_security_group_ingress_rule" "https" {
  count             = var.vpc == null ? 0 : 1
  security_group_id = aws_security_group.this[0].id
  description       = "HTTPS from inside the network"
  cidr_ipv4         = var.vpc.cidr
  ip_protocol       = "tcp"
  from_port         = 443
  to_port           = 443
}

resource "aws_cloudwatch_log_group" "this" {
  #checkov:skip=CKV_AWS_338:Logs of slow searches help for days, not for a year
  for_each          = toset(["INDEX_SLOW_LOGS", "SEARCH_SLOW_LOGS", "ES_APPLICATION_LOGS"])
  name              = "/aws/opensearch/${var.name}/${lower(each.value)}"
  retention_in_days = var.log_retention_days
  kms_key_id        = var.kms_key_arn
  tags              = var.tags
}

data "aws_iam_policy_document" "logs" {
  statement {
    actions   = ["logs:PutLogEvents", "logs:CreateLogStream"]
    resources = [for group in aws_cloudwatch_log_group.this : "${group.arn}:*"]
    principals {
      type        = "Service"
      identifiers = ["es.amazonaws.com"]
    }
  }
}

resource "aws_cloudwatch_log_resource_policy" "this" {
  policy_name     = "${var.name}-opensearch"
  policy_document = data.aws_iam_policy_document.logs.json
}

data "aws_iam_policy_document" "access" {
  statement {
    actions   = ["es:ESHttp*"]
    resources = ["${local.arn}/*"]
    principals {
      type        = "AWS"
      identifiers = length(var.access_role_arns) == 0 ? ["arn:aws:iam::${data.aws_caller_identity.current.account_id}:root"] : var.access_role_arns
    }
  }
}

resource "aws_opensearch_domain" "this" {
  #checkov:skip=CKV_AWS_317:Only the product talks to it; who did what is in the product's own audit trail
  #checkov:skip=CKV_AWS_318:Three dedicated masters are in the example production; dev does with one node
  #checkov:skip=CKV2_AWS_59:As above
  domain_name     = var.name
  engine_version  = var.engine_version
  access_policies = data.aws_iam_policy_document.access.json

  cluster_config {
    instance_type            = var.instance_type
    instance_count           = var.instance_count
    zone_awareness_enabled   = var.instance_count > 1
    dedicated_master_enabled = var.dedicated_masters > 0
    dedicated_master_count   = var.dedicated_masters > 0 ? var.dedicated_masters : null
    dedicated_master_type    = var.dedicated_masters > 0 ? var.dedicated_master_type : null
    warm_enabled             = var.warm_nodes > 0
    warm_count               = var.warm_nodes > 0 ? var.warm_nodes : null
    warm_type                = var.warm_nodes > 0 ? "ultrawarm1.medium.search" : null
    dynamic "zone_awareness_config" {
      for_each = var.instance_count > 1 ? [1] : []
      content {
        availability_zone_count = min(var.instance_count, 3) == 3 ? 3 : 2
      }
    }
  }

  ebs_options {
    ebs_enabled = true
    volume_type = "gp3"
    volume_size = var.volume_gib
  }

  dynamic "vpc_options" {
    for_each = var.vpc == null ? [] : [var.vpc]
    content {
      subnet_ids         = slice(vpc_options.value.subnet_ids, 0, min(length(vpc_options.value.subnet_ids), var.instance_count > 1 ? (min(var.instance_count, 3) == 3 ? 3 : 2) : 1))
      security_group_ids = [aws_security_group.this[0].id]
    }
  }

  encrypt_at_rest {
    enabled    = true
    kms_key_id = var.kms_key_arn
  }

  node_to_node_encryption {
    enabled = true
  }

  domain_endpoint_options {
    enforce_https       = true
    tls_security_policy = "Policy-Min-TLS-1-2-PFS-2023-10"
  }

  # Who may do what inside the domain. Without a network of its own it is the only guard, so it is always on there.
  advanced_security_options {
    enabled                        = true
    anonymous_auth_enabled         = false
    internal_user_database_enabled = false
    master_user_options {
      master_user_arn = var.master_role_arn
    }
  }

  dynamic "cognito_options" {
    for_each = var.dashboards_cognito == null ? [] : [var.dashboards_cognito]
    content {
      enabled          = true
      user_pool_id     = cognito_options.value.user_pool_id
      identity_pool_id = cognito_options.value.identity_pool_id
      role_arn         = cognito_options.value.role_arn
    }
  }

  # Small instances have no Auto-Tune.
  auto_tune_options {
    desired_state       = var.auto_tune ? "ENABLED" : "DISABLED"
    rollback_on_disable = "NO_ROLLBACK"
  }

  dynamic "log_publishing_options" {
    for_each = aws_cloudwatch_log_group.this
    content {
      log_type                 = log_publishing_options.key
      cloudwatch_log_group_arn = log_publishing_options.value.arn
    }
  }

  tags       = var.tags
  depends_on = [aws_cloudwatch_log_resource_policy.this]

  # What AWS refuses after a quarter of an hour.
  lifecycle {
    precondition {
      condition     = var.warm_nodes == 0 || (var.dedicated_masters > 0 && !startswith(var.instance_type, "t"))
      error_message = "Warm nodes need dedicated masters, and data nodes that are not of the types t2 and t3."
    }
    precondition {
      condition     = !var.auto_tune || !startswith(var.instance_type, "t")
      error_message = "Auto-Tune is not for the types t2 and t3."
    }
  }
}
