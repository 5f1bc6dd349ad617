"""Names that several rooms share: files, folders, environment variables and topics, each defined once."""

from pathlib import Path

# environment variables of a site
DATASET_VARIABLE, DATALIST_VARIABLE, CACHE_VARIABLE = "DATASET_ROOT", "DATALIST_ROOT", "CACHE_ROOT"
"""The site's images, its datalists and its cache of prepared cases."""

POLICY_VARIABLE = "PRIVACY_POLICY"
"""The file of the site's privacy policy."""

SITE_LEDGER_VARIABLE = "SITE_LEDGER"
"""The folder of the site's ledger over all jobs."""

STATE_VARIABLE = "FEDMED_STATE"
"""The folder where a site keeps what must outlive its process; a folder a site."""

RUN_VARIABLE = "FEDMED_RUN"
"""The run's name, where FLARE's job identifier does not tell runs apart."""

REPORTS_VARIABLE = "FEDMED_REPORTS"
"""The folder where a site writes the error that ended it, for the launcher on the same machine."""

DASHBOARD_VARIABLE = "DASHBOARD_ARTIFACTS"
"""The folder of the runs that the dashboard shows."""

# files of a run folder
BEST, LAST = "best_global_model.pt", "last_global_model.pt"
BEST_OWN, LAST_OWN = "best_local_model.pt", "last_local_model.pt"
"""A site's own models, in the site's folder."""

OWN = "own"
"""Beside ``best`` and ``last``, a choice among a run's models: each site's own best, or last where none was chosen."""

HISTORY = "training_history"
ARTIFACTS = Path("artifacts")
LOG = "training.log"
SITES = "sites"
"""The folder of a simulated run with a folder a site, and the server's, for state and ledgers."""

RECORDS = "rounds.jsonl"
"""One line a round, appended; the last one scores the final model."""

PROGRESS = "progress"
"""The stem of the file with each site's steps of the round that goes on; gone when the run is over."""

CURVES = "curves.png"
SUMMARY = "summary.txt"
AUDIT = "data_audit.txt"
LEDGER = "privacy_ledger.json"
EVENTS = "tb_events"

CROSS_SITE = "cross_site"
"""The stem of the cross-site files: the scores (.json), all metrics (.csv), the matrix (.png)."""

# the server's run directory in FLARE
LAST_FILE, BEST_FILE = "FL_global_model.pt", "best_FL_global_model.pt"
MODELS = "app_server"
"""The folder of the models, in the server's run directory."""

CROSS_SITE_RESULTS = Path("cross_site_val") / "cross_val_results.json"
"""FLARE's scores of every model at every site, written at the end of the job."""

MEASURES = "measures_statistics"
"""In the meta of a message to the sites: they are asked for running statistics alone."""

SERVER = "server"
"""The name of the server and of its folder; no site may have it."""

SIMULATED = "simulate_job"
"""The identifier that FLARE's simulator gives to every job."""

STATE = "state"
"""The folder, in a site's folder, of what the site needs to go on in another process."""

# parts of a message
PRIVACY = "privacy"
"""In the meta of a site's result: the ledger's entry of the round."""

EXTRAS = "extras"
"""In the meta of a site's result: the arrays that its algorithm sends beside the update."""

UNSHARED, GIVES_UNSHARED = "unshared", "gives_unshared"
"""In the meta of a message and of an answer: the digest of the part of the model that no round sends; and in that of a
message: it holds that part."""

MESSAGE = "message"
"""In the meta of the server's model: the arrays that its algorithm sends beside the weights."""

TRAINS = "trains"
"""In the meta of the server's model: the sites that train in the round; the others score."""

RATE_FACTOR = "rate_factor"
"""In the meta of the server's model: the share of each learning rate with which the round trains."""

WITHHELD = "withheld"
"""In the meta of a site's result: it trained, and lets nothing of it out."""

TRAINING_CASES = "training_cases"
"""In the meta of a site's result: the number of its training cases, where counts may leave the site."""

HEARTBEAT_TOPIC, HEARTBEAT_TOKEN = "fedmed.heartbeat", "token"
"""The topic of a site's signs of life, and the header that holds the secret by which the server knows the site."""

RECORDS_TOPIC = "fedmed.rounds"
"""The app command by which a user of the federation asks for records."""
