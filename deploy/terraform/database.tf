# The keys and the database: as in ../staging.yaml, where the comments are.

data "aws_caller_identity" "current" {}
data "aws_partition" "current" {}
data "aws_region" "current" {}

locals {
  account   = data.aws_caller_identity.current.account_id
  partition = data.aws_partition.current.partition
  region    = data.aws_region.current.id
  allow     = { "chaos:allow" = "kms" }
}

data "aws_iam_policy_document" "key" {
  statement {
    actions   = ["kms:*"]
    resources = ["*"]
    principals {
      type        = "AWS"
      identifiers = ["arn:${local.partition}:iam::${local.account}:root"]
    }
  }
}

resource "aws_kms_key" "key" {
  description             = "The storage of the Aurora cluster ${var.cluster_id}"
  enable_key_rotation     = true
  deletion_window_in_days = 7
  policy                  = data.aws_iam_policy_document.key.json
  tags                    = local.allow
}

resource "aws_kms_alias" "key" {
  name          = "alias/${var.cluster_id}"
  target_key_id = aws_kms_key.key.key_id
}

resource "aws_kms_key" "copy" {
  description             = "Copies of the snapshots of ${var.cluster_id}"
  enable_key_rotation     = true
  deletion_window_in_days = 7
  policy                  = data.aws_iam_policy_document.key.json
}

resource "aws_kms_alias" "copy" {
  name          = "alias/${var.cluster_id}-copies"
  target_key_id = aws_kms_key.copy.key_id
}

resource "aws_db_subnet_group" "database" {
  name        = var.cluster_id
  description = "Of ${var.cluster_id}"
  subnet_ids  = var.subnet_ids
}

resource "aws_security_group" "database" {
  name        = var.cluster_id
  description = "Of ${var.cluster_id}"
  vpc_id      = var.vpc_id
}

resource "aws_vpc_security_group_ingress_rule" "clients" {
  security_group_id            = aws_security_group.database.id
  description                  = "Those who run experiments"
  ip_protocol                  = "tcp"
  from_port                    = 5432
  to_port                      = 5432
  referenced_security_group_id = var.client_security_group
}

resource "aws_rds_cluster" "database" {
  cluster_identifier                  = var.cluster_id
  engine                              = "aurora-postgresql"
  engine_mode                         = "provisioned"
  database_name                       = "app"
  master_username                     = "app"
  manage_master_user_password         = true
  storage_encrypted                   = true
  kms_key_id                          = aws_kms_key.key.arn
  db_subnet_group_name                = aws_db_subnet_group.database.name
  vpc_security_group_ids              = [aws_security_group.database.id]
  backup_retention_period             = 7
  copy_tags_to_snapshot               = true
  iam_database_authentication_enabled = true
  skip_final_snapshot                 = true
  tags                                = local.allow

  serverlessv2_scaling_configuration {
    min_capacity = var.min_capacity
    max_capacity = var.max_capacity
  }
}

resource "aws_rds_cluster_instance" "writer" {
  cluster_identifier  = aws_rds_cluster.database.id
  identifier          = "${var.cluster_id}-1"
  instance_class      = "db.serverless"
  engine              = "aurora-postgresql"
  publicly_accessible = false
}

resource "aws_rds_cluster_instance" "reader" {
  count               = var.reader ? 1 : 0
  cluster_identifier  = aws_rds_cluster.database.id
  identifier          = "${var.cluster_id}-2"
  instance_class      = "db.serverless"
  engine              = "aurora-postgresql"
  publicly_accessible = false
  depends_on          = [aws_rds_cluster_instance.writer]
}
