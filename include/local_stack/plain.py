"""The pipeline's work in one process, for `make bench`: the same functions, without Airflow, MLflow and S3.

`python -m include.local_stack.plain DATA_FILE` reads the file, engineers features, evaluates and fits the model,
predicts, draws the plots, and writes features and predictions as CSV.
"""

from __future__ import annotations

import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import pandas as pd

from include import config
from include.modeling import drift, evaluation, features, models, plots
from include.modeling.csv_text import write_table
from include.modeling.rows import DataFile, read_training_rows


def run(data_file: Path, folder: Path) -> None:
    """Do everything that the three DAGs do with the rows of a CSV file, and write what comes out to `folder`."""
    schema, target = config.SCHEMA, config.TARGET
    file = DataFile(str(data_file), data_file.read_bytes())
    rows = read_training_rows(file, schema, min_usable=2 * config.FOLDS)
    feature_df, _ = features.engineer(features.usable_rows(rows, schema), schema)
    write_table(feature_df, folder / "features.csv")

    model = models.make_model(config.MODEL_CLASS, config.HYPER_PARAMETERS)
    evaluated_rows, plan = evaluation.rows_to_evaluate(rows, schema, config.FOLDS, config.REPEATS, config.SEED)
    evaluated = evaluation.evaluate(model, evaluated_rows, schema, plan)
    evaluation.baseline(evaluated_rows, evaluated_rows[target], plan)
    inputs = feature_df.drop(columns=target)
    with models.threads_for(len(inputs)):
        model.fit(inputs, feature_df[target])
    plots.out_of_fold(evaluated, schema).savefig(folder / "out_of_fold.png")

    predicted = pd.DataFrame({"predicted": model.predict(inputs)}, index=inputs.index)
    predictions = evaluation.match_predictions(predicted, feature_df[[target]])
    evaluation.errors(predictions["true"], predictions["predicted"])
    reference = inputs.sample(min(len(inputs), drift.ROWS), random_state=config.SEED)
    drift.compare(reference, inputs, config.SEED)
    plots.predictions(predictions, config.MODEL_NAME, schema, config.PICTURE).savefig(folder / "predictions.png")
    write_table(predictions.reset_index(), folder / "predictions.csv")


if __name__ == "__main__":
    with TemporaryDirectory() as temporary:
        run(Path(sys.argv[1]), Path(temporary))
