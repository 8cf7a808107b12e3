# The whole installation. Both examples are this, with other figures.

data "aws_caller_identity" "current" {}
data "aws_region" "current" {}

locals {
  name       = var.name
  public_url = "https://${var.host}"
  tags       = merge({ application = "emcrm", installation = var.name }, var.tags)
  search     = var.search == null ? null : module.opensearch[0]
  # What each worker may send, when as many run as there may be.
  worker_mail_rate = var.mail_rate == null ? null : floor(var.mail_rate / var.worker.max)
}

# What one variable alone cannot know. It makes nothing.
resource "terraform_data" "settings" {
  lifecycle {
    precondition {
      condition     = var.zone_id != null || var.certificate_arn != null
      error_message = "Give zone_id or certificate_arn. Without either the load balancer has no certificate for ${var.host}."
    }
    precondition {
      condition     = var.backup_keep_days == null || var.point_in_time_recovery
      error_message = "backup_keep_days needs point_in_time_recovery. Daily copies are exports of it."
    }
    precondition {
      condition     = var.mail_zone_id == null || var.mail_domain != null
      error_message = "mail_zone_id needs mail_domain. A zone alone sends no mail."
    }
    precondition {
      condition     = local.worker_mail_rate == null || try(local.worker_mail_rate >= 1, false)
      error_message = "mail_rate is less than worker.max. Each worker sends at least one mail a second: allow fewer workers."
    }
  }
}

module "vpc" {
  source       = "../modules/vpc"
  name         = local.name
  cidr         = var.cidr
  zones        = var.zones
  nat_gateways = var.nat_gateways
  flow_logs    = var.flow_logs
  tags         = local.tags
}

module "dynamodb" {
  source                 = "../modules/dynamodb"
  main_table_name        = "${replace(local.name, "-", "_")}_crm_data"
  email_table_name       = "${replace(local.name, "-", "_")}_email_data"
  point_in_time_recovery = var.point_in_time_recovery
  deletion_protection    = var.deletion_protection
  tags                   = local.tags
}

module "backup" {
  count               = var.backup_keep_days == null ? 0 : 1
  source              = "../modules/backup"
  name                = local.name
  table_arns          = module.dynamodb.table_arns
  keep_days           = var.backup_keep_days
  deletion_protection = var.deletion_protection
  tags                = local.tags
}

module "ecr" {
  source       = "../modules/ecr"
  name         = local.name
  force_delete = !var.deletion_protection
  tags         = local.tags
}

module "secrets" {
  source        = "../modules/secrets"
  name          = local.name
  keys          = var.secret_keys
  recovery_days = var.deletion_protection ? 30 : 0
  tags          = local.tags
}

module "ses" {
  count             = var.mail_domain == null ? 0 : 1
  source            = "../modules/ses"
  name              = local.name
  domain            = var.mail_domain
  zone_id           = var.mail_zone_id
  public_url        = var.mail_events_public ? local.public_url : null
  event_destination = var.mail_event_destination
  tags              = local.tags
}

module "cognito" {
  count               = var.cognito_domain_prefix == null ? 0 : 1
  source              = "../modules/cognito"
  name                = local.name
  domain_prefix       = var.cognito_domain_prefix
  public_url          = local.public_url
  deletion_protection = var.deletion_protection
  tags                = local.tags
}

# The product's own role: the search trusts it, and the services run as it.
data "aws_iam_policy_document" "assume" {
  statement {
    actions = ["sts:AssumeRole"]
    principals {
      type        = "Service"
      identifiers = ["ecs-tasks.amazonaws.com"]
    }
    condition {
      test     = "StringEquals"
      variable = "aws:SourceAccount"
      values   = [data.aws_caller_identity.current.account_id]
    }
  }
}

resource "aws_iam_role" "task" {
  name               = "${local.name}-task"
  assume_role_policy = data.aws_iam_policy_document.assume.json
  tags               = local.tags
}

module "dashboards" {
  count               = try(var.search.dashboards_prefix, null) == null ? 0 : 1
  source              = "../modules/dashboards"
  name                = local.name
  domain_prefix       = var.search.dashboards_prefix
  deletion_protection = var.deletion_protection
  tags                = local.tags
}

# With sign-in to Dashboards AWS wants the role of those who sign in as the domain's master. The product's role is then given its rights there, once, by hand.
module "opensearch" {
  count              = var.search == null ? 0 : 1
  source             = "../modules/opensearch"
  name               = local.name
  instance_type      = var.search.instance_type
  instance_count     = var.search.instance_count
  volume_gib         = var.search.volume_gib
  dedicated_masters  = var.search.dedicated_masters
  warm_nodes         = var.search.warm_nodes
  auto_tune          = var.search.auto_tune
  vpc                = var.search.public ? null : { id = module.vpc.vpc_id, cidr = module.vpc.cidr, subnet_ids = module.vpc.private_subnet_ids }
  access_role_arns   = concat([aws_iam_role.task.arn], module.dashboards[*].user_role_arn)
  master_role_arn    = length(module.dashboards) == 0 ? aws_iam_role.task.arn : module.dashboards[0].user_role_arn
  dashboards_cognito = length(module.dashboards) == 0 ? null : module.dashboards[0].cognito
  tags               = local.tags
}

module "dns" {
  count         = var.zone_id == null ? 0 : 1
  source        = "../modules/dns"
  host          = var.host
  zone_id       = var.zone_id
  load_balancer = { dns_name = module.alb.dns_name, zone_id = module.alb.zone_id }
  tags          = local.tags
}

module "alb" {
  source              = "../modules/alb"
  name                = local.name
  vpc_id              = module.vpc.vpc_id
  vpc_cidr            = module.vpc.cidr
  subnet_ids          = module.vpc.public_subnet_ids
  allowed_cidrs       = var.allowed_cidrs
  certificate_arn     = var.zone_id == null ? var.certificate_arn : module.dns[0].certificate_arn
  waf                 = var.waf
  deletion_protection = var.deletion_protection
  tags                = local.tags
}

module "ecs" {
  source                          = "../modules/ecs"
  name                            = local.name
  image                           = "${module.ecr.repository_url}:${var.image_tag}"
  repository_arn                  = module.ecr.repository_arn
  vpc_id                          = module.vpc.vpc_id
  subnet_ids                      = module.vpc.private_subnet_ids
  target_group_arn                = module.alb.target_group_arn
  load_balancer_security_group_id = module.alb.security_group_id
  request_count_label             = "${module.alb.arn_suffix}/${module.alb.target_group_arn_suffix}"
  api                             = var.api
  worker                          = var.worker
  autoscaling                     = var.autoscaling
  backlog                         = var.backlog
  secret_arns                     = merge(module.secrets.arns, { for module in module.cognito : "AUTH_COGNITO_CLIENT_SECRET" => module.client_secret_arn })
  task_role_arn                   = aws_iam_role.task.arn
  task_role_name                  = aws_iam_role.task.name
  table_arns                      = module.dynamodb.table_arns
  search_arn                      = try(local.search.arn, null)
  mail_identity_arn               = try(module.ses[0].identity_arn, null)
  tags                            = local.tags

  environment = merge(
    {
      APP_PRODUCTION = "true"
      APP_PUBLIC_URL = local.public_url
      # The load balancer says for whom it asks.
      APP_TRUSTED_PROXIES = module.vpc.cidr
      DB_ENGINE           = "dynamodb"
      DB_AWS_REGION       = data.aws_region.current.name
      DB_MAIN_TABLE_NAME  = module.dynamodb.table_names["main"]
      DB_EMAIL_TABLE_NAME = module.dynamodb.table_names["email"]
    },
    # Who may reach the load balancer is all that keeps others out where nobody signs in.
    var.cognito_domain_prefix == null ? { APP_ALLOW_UNAUTHENTICATED = "true" } : {
      AUTH_ENABLED                                                  = "true"
      AUTH_COGNITO_USER_POOL_ID                                     = module.cognito[0].user_pool_id
      AUTH_COGNITO_CLIENT_ID                                        = module.cognito[0].client_id
      AUTH_COGNITO_REGION                                           = data.aws_region.current.name
    },
    var.search == null ? { SEARCH_ENGINE = "tantivy" } : {
      SEARCH_ENGINE                      = "opensearch"
      OPENSEARCH_MODE                    = "cloud"
      OPENSEARCH_ENDPOINT                = local.search.endpoint
    },
    var.mail_domain == null ? {} : {
      MAIL_TRANSPORT             = "ses"
      MAIL_FROM                  = "${var.mail_from_name} <events@${var.mail_domain}>"
      MAIL_SES_CONFIGURATION_SET = module.ses[0].configuration_set
      MAIL_SNS_TOPIC             = module.ses[0].topic_arn
    },
    var.mail_domain == null || local.worker_mail_rate == null ? {} : { MAIL_RATE = tostring(local.worker_mail_rate) },
    var.settings,
  )
}

module "cloudwatch" {
  source               = "../modules/cloudwatch"
  name                 = local.name
  account_id           = data.aws_caller_identity.current.account_id
  alarm_addresses      = var.alarm_addresses
  cluster_name         = module.ecs.cluster_name
  load_balancer_suffix = module.alb.arn_suffix
  target_group_suffix  = module.alb.target_group_arn_suffix
  table_names          = module.dynamodb.table_names
  search_domain        = try(local.search.name, null)
  backup_schedules     = try(module.backup[0].schedule_group, null)
  product_metrics      = module.ecs.product_metrics
  tags                 = local.tags
}
