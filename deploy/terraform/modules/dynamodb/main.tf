# Both tables exactly as the product makes them: tables.json is written from the product's code, and a test of the product compares the two.

locals {
  described = { for table in jsondecode(file("${path.module}/tables.json")).tables : table.id => table }
  names     = { main = var.main_table_name, email = var.email_table_name }
  # Every attribute that is a key of the table or of an index, once.
  attributes = {
    for id, table in local.described : id => distinct(compact(concat(
      [table.keys.hash, table.keys.range],
      flatten([for index in table.indexes : [index.hash, try(index.range, "")]]),
    )))
  }
}

resource "aws_dynamodb_table" "this" {
  #checkov:skip=CKV_AWS_28:On unless somebody says otherwise, as the example dev does
  for_each = local.described

  name                        = local.names[each.key]
  billing_mode                = "PAY_PER_REQUEST"
  hash_key                    = each.value.keys.hash
  range_key                   = each.value.keys.range
  deletion_protection_enabled = var.deletion_protection

  dynamic "attribute" {
    for_each = local.attributes[each.key]
    content {
      name = attribute.value
      type = "S"
    }
  }

  dynamic "global_secondary_index" {
    for_each = each.value.indexes
    content {
      name            = global_secondary_index.value.name
      hash_key        = global_secondary_index.value.hash
      range_key       = try(global_secondary_index.value.range, null)
      projection_type = "ALL"
    }
  }

  ttl {
    attribute_name = each.value.ttl
    enabled        = true
  }

  point_in_time_recovery {
    enabled = var.point_in_time_recovery
  }

  server_side_encryption {
    enabled     = true
    kms_key_arn = var.kms_key_arn
  }

  tags = var.tags
}
