# The sender's domain with DKIM, and a topic by which bounces and complaints reach the product.

resource "aws_sesv2_configuration_set" "this" {
  configuration_set_name = var.name
  reputation_options {
    reputation_metrics_enabled = true
  }
  delivery_options {
    tls_policy = "REQUIRE"
  }
  tags = var.tags
}

resource "aws_sesv2_email_identity" "this" {
  email_identity         = var.domain
  configuration_set_name = aws_sesv2_configuration_set.this.configuration_set_name
  tags                   = var.tags
}

resource "aws_route53_record" "dkim" {
  count   = var.zone_id == null ? 0 : 3
  zone_id = var.zone_id
  name    = "${aws_sesv2_email_identity.this.dkim_signing_attributes[0].tokens[count.index]}._domainkey.${var.domain}"
  type    = "CNAME"
  ttl     = 1800
  records = ["${aws_sesv2_email_identity.this.dkim_signing_attributes[0].tokens[count.index]}.dkim.amazonses.com"]
}

resource "aws_sns_topic" "events" {
  name              = "${var.name}-mail-events"
  kms_master_key_id = var.kms_key_arn
  # What is posted is signed with SHA-256.
  signature_version = 2
  tags              = var.tags
}

data "aws_caller_identity" "current" {}

data "aws_iam_policy_document" "publish" {
  statement {
    sid       = "SesTellsWhatBecameOfMails"
    actions   = ["sns:Publish"]
    resources = [aws_sns_topic.events.arn]
    principals {
      type        = "Service"
      identifiers = ["ses.amazonaws.com"]
    }
    condition {
      test     = "StringEquals"
      variable = "AWS:SourceAccount"
      values   = [data.aws_caller_identity.current.account_id]
    }
  }
}

resource "aws_sns_topic_policy" "events" {
  arn    = aws_sns_topic.events.arn
  policy = data.aws_iam_policy_document.publish.json
}

resource "aws_sesv2_configuration_set_event_destination" "events" {
  count                  = var.event_destination ? 1 : 0
  configuration_set_name = aws_sesv2_configuration_set.this.configuration_set_name
  event_destination_name = "product"
  event_destination {
    enabled              = true
    matching_event_types = ["BOUNCE", "COMPLAINT"]
    sns_destination {
      topic_arn = aws_sns_topic.events.arn
    }
  }
}

# The product confirms the subscription by itself.
resource "aws_sns_topic_subscription" "product" {
  count                           = var.public_url == null ? 0 : 1
  topic_arn                       = aws_sns_topic.events.arn
  protocol                        = "https"
  endpoint                        = "${var.public_url}/mail/events/sns"
  endpoint_auto_confirms          = true
  confirmation_timeout_in_minutes = 5
}
