"""The science: DataFrames in, DataFrames, figures and fitted estimators out."""
