"""Architectures ranked before any training, from collected runs.

`earlycall.nas.labels` grades collected runs, `features` describes their architectures, `predictor`
learns the grades from the features, `store` holds the runs, `search` proposes what to train next,
`explain` ranks the features.
"""
