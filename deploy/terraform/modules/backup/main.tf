# A copy of both tables each day in a bucket of its own. It outlives the tables, unlike their point-in-time recovery, and needs that to be on. DynamoDB
# writes it without touching what the tables can take.

data "aws_caller_identity" "current" {}

locals {
  prefix = "exports"
}

resource "aws_s3_bucket" "this" {
  #checkov:skip=CKV_AWS_18:Who reads it is told by CloudTrail's data events, where the account has them
  #checkov:skip=CKV_AWS_144:A copy in another region is the decision of whoever pays for it
  #checkov:skip=CKV2_AWS_62:Nothing waits for a copy to be made
  bucket        = "${var.name}-backup-${data.aws_caller_identity.current.account_id}"
  force_destroy = !var.deletion_protection
  tags          = var.tags
}

resource "aws_s3_bucket_public_access_block" "this" {
  bucket                  = aws_s3_bucket.this.id
  block_public_acls       = true
  block_public_policy     = true
  ignore_public_acls      = true
  restrict_public_buckets = true
}

resource "aws_s3_bucket_versioning" "this" {
  bucket = aws_s3_bucket.this.id
  versioning_configuration {
    status = "Enabled"
  }
}

resource "aws_s3_bucket_server_side_encryption_configuration" "this" {
  bucket = aws_s3_bucket.this.id
  rule {
    bucket_key_enabled = true
    apply_server_side_encryption_by_default {
      sse_algorithm     = "aws:kms"
      kms_master_key_id = var.kms_key_arn
    }
  }
}

resource "aws_s3_bucket_lifecycle_configuration" "this" {
  bucket = aws_s3_bucket.this.id
  rule {
    id     = "expire"
    status = "Enabled"
    filter {}
    expiration {
      days = var.keep_days
    }
    noncurrent_version_expiration {
      noncurrent_days = 30
    }
    abort_incomplete_multipart_upload {
      days_after_initiation = 1
    }
  }
  depends_on = [aws_s3_bucket_versioning.this]
}

data "aws_iam_policy_document" "tls" {
  statement {
    sid       = "OnlyEncrypted"
    effect    = "Deny"
    actions   = ["s3:*"]
    resources = [aws_s3_bucket.this.arn, "${aws_s3_bucket.this.arn}/*"]
    principals {
      type        = "*"
      identifiers = ["*"]
    }
    condition {
      test     = "Bool"
      variable = "aws:SecureTransport"
      values   = ["false"]
    }
  }
}

resource "aws_s3_bucket_policy" "this" {
  bucket     = aws_s3_bucket.this.id
  policy     = data.aws_iam_policy_document.tls.json
  depends_on = [aws_s3_bucket_public_access_block.this]
}

data "aws_iam_policy_document" "assume" {
  statement {
    actions = ["sts:AssumeRole"]
    principals {
      type        = "Service"
      identifiers = ["scheduler.amazonaws.com"]
    }
    condition {
      test     = "StringEquals"
      variable = "aws:SourceAccount"
      values   = [data.aws_caller_identity.current.account_id]
    }
  }
}

resource "aws_iam_role" "export" {
  name               = "${var.name}-backup"
  assume_role_policy = data.aws_iam_policy_document.assume.json
  tags               = var.tags
}

data "aws_iam_policy_document" "export" {
  statement {
    sid       = "Export"
    actions   = ["dynamodb:ExportTableToPointInTime"]
    resources = values(var.table_arns)
  }
  statement {
    sid       = "Write"
    actions   = ["s3:AbortMultipartUpload", "s3:PutObject"]
    resources = ["${aws_s3_bucket.this.arn}/${local.prefix}/*"]
  }
  dynamic "statement" {
    for_each = var.kms_key_arn == null ? [] : [var.kms_key_arn]
    content {
      sid       = "Encrypt"
      actions   = ["kms:Decrypt", "kms:GenerateDataKey"]
      resources = [statement.value]
    }
  }
}

resource "aws_iam_role_policy" "export" {
  name   = "export"
  role   = aws_iam_role.export.id
  policy = data.aws_iam_policy_document.export.json
}

# A group of their own: what AWS counts of schedules it counts by group.
resource "aws_scheduler_schedule_group" "this" {
  name = "${var.name}-backup"
  tags = var.tags
}

resource "aws_scheduler_schedule" "export" {
  #checkov:skip=CKV_AWS_297:It holds names of a table and a bucket, nothing secret
  for_each            = var.table_arns
  name                = "${var.name}-backup-${each.key}"
  group_name          = aws_scheduler_schedule_group.this.name
  description         = "Writes the table ${each.key} of ${var.name} into a bucket"
  schedule_expression = var.schedule
  flexible_time_window {
    mode = "OFF"
  }
  target {
    arn      = "arn:aws:scheduler:::aws-sdk:dynamodb:exportTableToPointInTime"
    role_arn = aws_iam_role.export.arn
    input = jsonencode({
      TableArn     = each.value
      S3Bucket     = aws_s3_bucket.this.id
      S3Prefix     = "${local.prefix}/${each.key}"
      ExportFormat = "DYNAMODB_JSON"
    })
    retry_policy {
      maximum_event_age_in_seconds = 7200
      maximum_retry_attempts       = 10
    }
  }
}
