variable "cluster_id" {
  description = "What the cluster is called"
  type        = string
  default     = "kms-staging"
  validation {
    condition     = can(regex("^[a-z](-?[a-z0-9]){0,39}$", var.cluster_id))
    error_message = "At most 40 small letters, digits and single hyphens, a letter first."
  }
}

variable "vpc_id" {
  description = "Where the cluster is"
  type        = string
}

variable "subnet_ids" {
  description = "Of two Availability Zones at least; private ones"
  type        = list(string)
}

variable "client_security_group" {
  description = "Of whatever connects to the database, such as the machine that runs experiments"
  type        = string
}

variable "min_capacity" {
  description = "Aurora capacity units of an idle instance"
  type        = number
  default     = 0.5
}

variable "max_capacity" {
  description = "Aurora capacity units of a busy instance"
  type        = number
  default     = 4
}

variable "reader" {
  description = "Whether there is a second instance"
  type        = bool
  default     = false
}

variable "copy_every" {
  description = "When a copy under the second key is made; the guard wants one of the last 7 days"
  type        = string
  default     = "rate(1 day)"
}

variable "email" {
  description = "Who gets a mail when an alarm goes off; nobody if empty"
  type        = string
  default     = ""
}

variable "runner" {
  description = "ARN of the role or user that may assume the run role; every one of the account that IAM lets if empty"
  type        = string
  default     = ""
}

variable "oidc_issuer" {
  description = "Whose jobs may assume the run role: token.actions.githubusercontent.com, gitlab.com, or none if empty"
  type        = string
  default     = ""
  validation {
    condition     = contains(["", "token.actions.githubusercontent.com", "gitlab.com"], var.oidc_issuer)
    error_message = "GitHub's issuer, GitLab's, or none."
  }
}

variable "oidc_subject" {
  description = "Which jobs: repo:OWNER/NAME:ref:refs/heads/main, or project_path:GROUP/NAME:ref_type:branch:ref:main"
  type        = string
  default     = "-"
}

variable "oidc_provider" {
  description = "Whether the account has the issuer already (exists), or it is to be made (create)"
  type        = string
  default     = "create"
  validation {
    condition     = contains(["create", "exists"], var.oidc_provider)
    error_message = "Either create or exists."
  }
}
