# Who runs experiments, and who puts the key back when they cannot: the policies of `chaos kms policy`.

locals {
  oidc   = var.oidc_issuer != ""
  runner = var.runner != "" ? var.runner : "arn:${local.partition}:iam::${local.account}:root"
}

resource "aws_iam_openid_connect_provider" "jobs" {
  count          = local.oidc && var.oidc_provider == "create" ? 1 : 0
  url            = "https://${var.oidc_issuer}"
  client_id_list = ["sts.amazonaws.com"]
}

data "aws_iam_policy_document" "run_trust" {
  statement {
    actions = ["sts:AssumeRole"]
    principals {
      type        = "AWS"
      identifiers = [local.runner]
    }
  }
  dynamic "statement" {
    for_each = local.oidc ? [var.oidc_issuer] : []
    content {
      actions = ["sts:AssumeRoleWithWebIdentity"]
      principals {
        type        = "Federated"
        identifiers = ["arn:${local.partition}:iam::${local.account}:oidc-provider/${var.oidc_issuer}"]
      }
      condition {
        test     = "StringEquals"
        variable = "${var.oidc_issuer}:aud"
        values   = ["sts.amazonaws.com"]
      }
      condition {
        test     = "StringEquals"
        variable = "${var.oidc_issuer}:sub"
        values   = [var.oidc_subject]
      }
    }
  }
}

data "aws_iam_policy_document" "run" {
  statement {
    actions   = ["kms:DisableKey"]
    resources = ["arn:${local.partition}:kms:${local.region}:${local.account}:key/${aws_kms_key.key.key_id}"]
    condition {
      test     = "StringEquals"
      variable = "aws:ResourceTag/chaos:allow"
      values   = ["kms"]
    }
  }
  statement {
    actions   = ["kms:EnableKey", "kms:GetKeyPolicy", "kms:ListGrants", "kms:ListResourceTags"]
    resources = ["arn:${local.partition}:kms:${local.region}:${local.account}:key/${aws_kms_key.key.key_id}"]
  }
  statement {
    actions   = ["kms:DescribeKey"]
    resources = ["arn:${local.partition}:kms:${local.region}:${local.account}:key/*"]
  }
  statement {
    actions = [
      "cloudtrail:LookupEvents",
      "cloudwatch:DescribeAlarms",
      "dynamodb:DescribeTable",
      "dynamodb:ListTables",
      "ec2:DescribeVolumes",
      "kms:ListAliases",
      "lambda:ListFunctions",
      "logs:DescribeLogGroups",
      "rds:DescribeBlueGreenDeployments",
      "rds:DescribeDBClusterSnapshots",
      "rds:DescribeDBProxies",
      "rds:DescribeDBProxyTargets",
      "rds:DescribeDBSnapshots",
      "rds:DescribeEvents",
      "rds:DescribePendingMaintenanceActions",
      "s3:GetEncryptionConfiguration",
      "s3:ListAllMyBuckets",
      "scheduler:ListSchedules",
      "secretsmanager:ListSecrets",
      "sns:GetTopicAttributes",
      "sns:ListTopics",
      "sqs:GetQueueAttributes",
      "sqs:ListQueues",
      "ssm:DescribeParameters",
      "tag:GetResources",
    ]
    resources = ["*"]
  }
  statement {
    actions   = ["rds:DescribeDBClusters"]
    resources = ["arn:${local.partition}:rds:${local.region}:${local.account}:cluster:*"]
  }
  statement {
    actions   = ["rds:DescribeDBInstances"]
    resources = ["arn:${local.partition}:rds:${local.region}:${local.account}:db:*"]
  }
  statement {
    actions   = ["rds:DescribeGlobalClusters"]
    resources = ["arn:${local.partition}:rds::${local.account}:global-cluster:*"]
  }
  statement {
    actions   = ["rds:StartDBCluster"]
    resources = ["arn:${local.partition}:rds:${local.region}:${local.account}:cluster:${aws_rds_cluster.database.id}"]
  }
  statement {
    actions = ["iam:SimulatePrincipalPolicy"]
    resources = [
      aws_iam_role.run.arn,
      aws_iam_role.switch.arn,
    ]
  }
  statement {
    actions   = ["iam:GetRole"]
    resources = [aws_iam_role.run.arn]
  }
  statement {
    actions   = ["scheduler:CreateScheduleGroup"]
    resources = ["arn:${local.partition}:scheduler:${local.region}:${local.account}:schedule-group/chaos-kms"]
  }
  statement {
    actions = ["scheduler:CreateSchedule", "scheduler:DeleteSchedule"]
    resources = [
      "arn:${local.partition}:scheduler:${local.region}:${local.account}:schedule/chaos-kms/undo-${aws_kms_key.key.key_id}",
      "arn:${local.partition}:scheduler:${local.region}:${local.account}:schedule/chaos-kms/start-${aws_kms_key.key.key_id}",
    ]
  }
  statement {
    actions   = ["iam:PassRole"]
    resources = [aws_iam_role.switch.arn]
    condition {
      test     = "StringEquals"
      variable = "iam:PassedToService"
      values   = ["scheduler.amazonaws.com"]
    }
  }
  statement {
    actions   = ["scheduler:GetSchedule"]
    resources = ["arn:${local.partition}:scheduler:${local.region}:${local.account}:schedule/chaos-kms/*"]
  }
  statement {
    actions   = ["secretsmanager:DescribeSecret", "secretsmanager:GetSecretValue"]
    resources = [aws_rds_cluster.database.master_user_secret[0].secret_arn]
  }
}

resource "aws_iam_role" "run" {
  name_prefix          = "${var.cluster_id}-run-"
  max_session_duration = 43200
  assume_role_policy   = data.aws_iam_policy_document.run_trust.json

  lifecycle {
    precondition {
      condition     = !local.oidc || var.oidc_subject != "-"
      error_message = "oidc_issuer needs an oidc_subject, or every job there could assume the run role."
    }
  }
}

resource "aws_iam_role_policy" "run" {
  name   = "chaos-kms"
  role   = aws_iam_role.run.id
  policy = data.aws_iam_policy_document.run.json
}

data "aws_iam_policy_document" "switch_trust" {
  statement {
    actions = ["sts:AssumeRole"]
    principals {
      type        = "Service"
      identifiers = ["scheduler.amazonaws.com"]
    }
    condition {
      test     = "ArnLike"
      variable = "aws:SourceArn"
      values   = ["arn:${local.partition}:scheduler:${local.region}:${local.account}:schedule-group/chaos-kms"]
    }
    condition {
      test     = "StringEquals"
      variable = "aws:SourceAccount"
      values   = [local.account]
    }
  }
}

data "aws_iam_policy_document" "switch" {
  statement {
    actions   = ["kms:EnableKey"]
    resources = ["arn:${local.partition}:kms:${local.region}:${local.account}:key/${aws_kms_key.key.key_id}"]
  }
  statement {
    actions   = ["rds:StartDBCluster"]
    resources = ["arn:${local.partition}:rds:${local.region}:${local.account}:cluster:${aws_rds_cluster.database.id}"]
  }
}

resource "aws_iam_role" "switch" {
  name_prefix        = "${var.cluster_id}-switch-"
  assume_role_policy = data.aws_iam_policy_document.switch_trust.json
}

resource "aws_iam_role_policy" "switch" {
  name   = "chaos-kms"
  role   = aws_iam_role.switch.id
  policy = data.aws_iam_policy_document.switch.json
}
