# A copy of the data under the second key, by Step Functions.

data "aws_iam_policy_document" "copy_trust" {
  statement {
    actions = ["sts:AssumeRole"]
    principals {
      type        = "Service"
      identifiers = ["states.amazonaws.com"]
    }
    condition {
      test     = "StringEquals"
      variable = "aws:SourceAccount"
      values   = [local.account]
    }
  }
}

data "aws_iam_policy_document" "copy" {
  statement {
    actions   = ["rds:DescribeDBClusterSnapshots"]
    resources = ["*"]
  }
  statement {
    actions   = ["rds:CreateDBClusterSnapshot"]
    resources = ["arn:${local.partition}:rds:${local.region}:${local.account}:cluster:${aws_rds_cluster.database.id}"]
  }
  statement {
    actions = [
      "rds:AddTagsToResource", "rds:CopyDBClusterSnapshot", "rds:CreateDBClusterSnapshot", "rds:DeleteDBClusterSnapshot",
    ]
    resources = [
      "arn:${local.partition}:rds:${local.region}:${local.account}:cluster-snapshot:${aws_rds_cluster.database.id}-plain-*",
      "arn:${local.partition}:rds:${local.region}:${local.account}:cluster-snapshot:${aws_rds_cluster.database.id}-copy-*",
    ]
  }
  statement {
    actions = [
      "kms:CreateGrant", "kms:Decrypt", "kms:DescribeKey", "kms:Encrypt", "kms:GenerateDataKey*", "kms:ReEncrypt*",
    ]
    resources = [aws_kms_key.key.arn, aws_kms_key.copy.arn]
    condition {
      test     = "StringEquals"
      variable = "kms:ViaService"
      values   = ["rds.${local.region}.amazonaws.com"]
    }
  }
}

resource "aws_iam_role" "copy" {
  name_prefix        = "${var.cluster_id}-copy-"
  assume_role_policy = data.aws_iam_policy_document.copy_trust.json
}

resource "aws_iam_role_policy" "copy" {
  name   = "copy"
  role   = aws_iam_role.copy.id
  policy = data.aws_iam_policy_document.copy.json
}

resource "aws_sfn_state_machine" "copy" {
  name       = "${var.cluster_id}-copy"
  role_arn   = aws_iam_role.copy.arn
  depends_on = [aws_iam_role_policy.copy]
  definition = templatefile("${path.module}/copy.asl.json.tftpl", {
    cluster   = aws_rds_cluster.database.id
    copy_key  = aws_kms_key.copy.arn
    partition = local.partition
  })
}

data "aws_iam_policy_document" "start_copy_trust" {
  statement {
    actions = ["sts:AssumeRole"]
    principals {
      type        = "Service"
      identifiers = ["scheduler.amazonaws.com"]
    }
    condition {
      test     = "StringEquals"
      variable = "aws:SourceAccount"
      values   = [local.account]
    }
  }
}

data "aws_iam_policy_document" "start_copy" {
  statement {
    actions   = ["states:StartExecution"]
    resources = [aws_sfn_state_machine.copy.arn]
  }
}

resource "aws_iam_role" "start_copy" {
  name_prefix        = "${var.cluster_id}-start-"
  assume_role_policy = data.aws_iam_policy_document.start_copy_trust.json
}

resource "aws_iam_role_policy" "start_copy" {
  name   = "start"
  role   = aws_iam_role.start_copy.id
  policy = data.aws_iam_policy_document.start_copy.json
}

resource "aws_scheduler_schedule" "copy" {
  name                = "${var.cluster_id}-copy"
  description         = "A copy of ${var.cluster_id} under the second key"
  schedule_expression = var.copy_every
  depends_on          = [aws_iam_role_policy.start_copy, aws_rds_cluster_instance.writer]

  flexible_time_window {
    mode = "OFF"
  }

  target {
    arn      = "arn:${local.partition}:scheduler:::aws-sdk:sfn:startExecution"
    role_arn = aws_iam_role.start_copy.arn
    input    = jsonencode({ StateMachineArn = aws_sfn_state_machine.copy.arn, Input = "{}" })
  }
}
