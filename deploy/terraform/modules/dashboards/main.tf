# Sign-in to the Dashboards of the search domain, by a user pool of its own: whoever is in it may do everything inside the domain, so the people who sign in
# to the product are not in it. Nobody is at first.

resource "aws_cognito_user_pool" "this" {
  name                     = "${var.name}-dashboards"
  username_attributes      = ["email"]
  auto_verified_attributes = ["email"]
  mfa_configuration        = var.mfa
  deletion_protection      = var.deletion_protection ? "ACTIVE" : "INACTIVE"

  admin_create_user_config {
    allow_admin_create_user_only = true
  }

  password_policy {
    minimum_length                   = 12
    require_lowercase                = true
    require_uppercase                = true
    require_numbers                  = true
    require_symbols                  = false
    temporary_password_validity_days = 7
  }

  dynamic "software_token_mfa_configuration" {
    for_each = var.mfa == "OFF" ? [] : [1]
    content {
      enabled = true
    }
  }

  account_recovery_setting {
    recovery_mechanism {
      name     = "verified_email"
      priority = 1
    }
  }

  tags = var.tags
}

# Dashboards sends people to this page.
resource "aws_cognito_user_pool_domain" "this" {
  domain       = var.domain_prefix
  user_pool_id = aws_cognito_user_pool.this.id
}

# OpenSearch Service makes its own client in the user pool, and names it here. Both are its business.
resource "aws_cognito_identity_pool" "this" {
  identity_pool_name               = "${var.name}-dashboards"
  allow_unauthenticated_identities = false
  allow_classic_flow               = false
  tags                             = var.tags

  lifecycle {
    ignore_changes = [cognito_identity_providers]
  }
}

# What somebody becomes who has signed in.
data "aws_iam_policy_document" "user_assume" {
  statement {
    actions = ["sts:AssumeRoleWithWebIdentity"]
    principals {
      type        = "Federated"
      identifiers = ["cognito-identity.amazonaws.com"]
    }
    condition {
      test     = "StringEquals"
      variable = "cognito-identity.amazonaws.com:aud"
      values   = [aws_cognito_identity_pool.this.id]
    }
    condition {
      test     = "ForAnyValue:StringLike"
      variable = "cognito-identity.amazonaws.com:amr"
      values   = ["authenticated"]
    }
  }
}

# It has no rights of its own: the domain lets it in.
resource "aws_iam_role" "user" {
  name               = "${var.name}-dashboards"
  assume_role_policy = data.aws_iam_policy_document.user_assume.json
  tags               = var.tags
}

resource "aws_cognito_identity_pool_roles_attachment" "this" {
  identity_pool_id = aws_cognito_identity_pool.this.id
  roles            = { authenticated = aws_iam_role.user.arn }
}

# With this OpenSearch Service sets up both pools. AWS names no condition for this trust; the first name is the former one of the second.
data "aws_iam_policy_document" "service_assume" {
  statement {
    actions = ["sts:AssumeRole"]
    principals {
      type        = "Service"
      identifiers = ["es.amazonaws.com", "opensearchservice.amazonaws.com"]
    }
  }
}

resource "aws_iam_role" "service" {
  name               = "${var.name}-dashboards-service"
  assume_role_policy = data.aws_iam_policy_document.service_assume.json
  tags               = var.tags
}

resource "aws_iam_role_policy_attachment" "service" {
  role       = aws_iam_role.service.name
  policy_arn = "arn:aws:iam::aws:policy/AmazonOpenSearchServiceCognitoAccess"
}
