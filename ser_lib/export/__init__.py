"""From a study to a bundle: fitted on all speakers (`refit`), tried on other corpora (`build`)."""
