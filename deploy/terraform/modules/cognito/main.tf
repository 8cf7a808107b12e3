# Who signs in: a user pool with a hosted page, one client for the product, and one group for each role.

resource "aws_cognito_user_pool" "this" {
  name                     = var.name
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

resource "aws_cognito_user_pool_domain" "this" {
  domain       = var.domain_prefix
  user_pool_id = aws_cognito_user_pool.this.id
}

resource "aws_cognito_user_pool_client" "this" {
  name                                 = var.name
  user_pool_id                         = aws_cognito_user_pool.this.id
  generate_secret                      = true
  allowed_oauth_flows_user_pool_client = true
  allowed_oauth_flows                  = ["code"]
  allowed_oauth_scopes                 = ["openid", "email", "profile"]
  supported_identity_providers         = ["COGNITO"]
  callback_urls                        = ["${var.public_url}/auth/callback"]
  # Where the product sends people back to, after signing in and after signing out.
  logout_urls                   = ["${var.public_url}/app/signin"]
  explicit_auth_flows           = ["ALLOW_REFRESH_TOKEN_AUTH"]
  prevent_user_existence_errors = "ENABLED"
  enable_token_revocation       = true
  access_token_validity         = 1
  id_token_validity             = 1
  refresh_token_validity        = 30
  token_validity_units {
    access_token  = "hours"
    id_token      = "hours"
    refresh_token = "days"
  }
}

# What the product proves itself with. Terraform learns it from Cognito, so it is in the state, which is one reason to encrypt that.
resource "aws_secretsmanager_secret" "client" {
  #checkov:skip=CKV2_AWS_57:Cognito changes it only with a new client; then apply puts the new one here
  #checkov:skip=CKV_AWS_149:A key of the account's own is an option, not a duty
  name                    = "${var.name}/AUTH_COGNITO_CLIENT_SECRET"
  description             = "Setting AUTH_COGNITO_CLIENT_SECRET of EMCRM"
  recovery_window_in_days = var.deletion_protection ? 30 : 0
  kms_key_id              = var.kms_key_arn
  tags                    = var.tags
}

resource "aws_secretsmanager_secret_version" "client" {
  secret_id     = aws_secretsmanager_secret.client.id
  secret_string = aws_cognito_user_pool_client.this.client_secret
}

resource "aws_cognito_user_group" "role" {
  for_each     = toset(["viewer", "editor", "sender", "admin"])
  name         = each.value
  user_pool_id = aws_cognito_user_pool.this.id
  description  = "Role ${each.value} of EMCRM"
}
