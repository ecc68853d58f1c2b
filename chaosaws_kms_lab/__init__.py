"""A stand-in for AWS on this machine: our own KMS and RDS, moto for the rest, real PostgreSQL.

A program of its own, started as `python -m chaosaws_kms_lab`. The extension does not import it: it
uses the lab as it uses AWS, over HTTP and the PostgreSQL protocol.

Where to look:

    start and end       __main__, serving, seed, reaper
    a request           door (who may ask) → dispatch (who answers) → a service; wire (protocols)
    services            kms/, rds/, scheduler/, cloudtrail, event_bus, secrets_manager, sts, tagging
    IAM                 policy_evaluation, conditions, permissions, trust_policies, policy_simulator
    stacks              cloudformation/: template (what it says) → stack (makes it) → kinds_of_…
    moto's services     moto_iam, moto_services, unsupported, cloudformation_templates
    what there is       world (all resources), clock
    a cluster's states  aurora (when it becomes inaccessible, when it comes back)
    its servers         data_plane/: servers → volume (what is wanted) → reconcile (does it)
    misbehaviours       control (orders), misbehaviours (of the API), data_misbehaviours
"""
