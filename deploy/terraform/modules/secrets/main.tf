# Secrets by name, empty: their values are put in by hand or by another tool, so that none is ever in Terraform's state.
#   aws secretsmanager put-secret-value --secret-id NAME/APP_SECRET_KEY --secret-string "$(openssl rand -hex 32)"

resource "aws_secretsmanager_secret" "this" {
  #checkov:skip=CKV2_AWS_57:A new key makes every link in mails that were sent invalid, so people decide when
  for_each = var.keys

  name                    = "${var.name}/${each.value}"
  description             = "Setting ${each.value} of EMCRM"
  recovery_window_in_days = var.recovery_days
  kms_key_id              = var.kms_key_arn
  tags                    = var.tags
}
