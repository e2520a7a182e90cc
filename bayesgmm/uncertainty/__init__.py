"""What the posterior says: verdict, comparison, evidence, memberships, consensus, EM against the posterior."""
