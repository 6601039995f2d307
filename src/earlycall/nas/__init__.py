"""Architectures ranked before any training, from collected runs.

`earlycall.nas.labels` tells how good collected runs were, `features` what is known of their
architectures, `predictor` learns the one from the other, `store` keeps what was collected,
`search` proposes what to train next, `explain` says which features matter.
"""
