"""Words that need one sentence beside them, wherever the dashboard shows them."""

WORDS = {
    "run": "A run folder in the artifacts folder.",
    "task": "The dataset and the question that the model learns to answer.",
    "algorithm": "The rule by which the server combines the sites' updates.",
    "privacy": "The mechanism that protects what leaves a site; none protects nothing.",
    "epsilon": "The privacy spent by the site that spent most: the smaller, the less an outsider can learn of whether "
    "one unit took part. Only a formal mechanism has one.",
    "unit": "Whose taking part the mechanism hides: one patient, one image, or a whole site's update.",
    "environment": "Where the sites run: a simulator, a pool of processes, or real hospitals.",
    "sites": "Hospitals, or their stand-ins in a simulation; their data stay there.",
    "rounds": "In a round every site trains the common model on its own data and sends back what it changed.",
    "score": "The first metric of the task, over all cases that were evaluated.",
    "interval": "Bootstrap 95 % interval: how far the score may vary with the patients, not with the seed.",
    "scored on": "The model and the cases of the score. Without an evaluation it is the sites' own last report, "
    "without an interval.",
    "worst site": "The site with the worst score on its own cases: what the mean hides.",
    "seconds": "Of all rounds, on the machine that the run had.",
    "megabytes": "Parameters that all sites sent in all rounds; 1 MB is 1,000,000 bytes.",
    "status": "running, finished, failed, or interrupted: it says running and no process holds its folder any more.",
    "last seen": "The last round in which the server heard of the site, or its step of the round that goes on.",
    "loss": "The training loss that the site reported last: lower is better.",
    "cases": "Training and validation cases of the site.",
    "time left": "Rounds that are left, times the mean duration of a round so far.",
    "mean round": "Mean duration of the rounds so far; the first one, in which the sites start up, counts only alone.",
    "elapsed": "Duration of all rounds so far, and of the one that goes on.",
    "answered": "Sites that have finished the round that goes on.",
}
