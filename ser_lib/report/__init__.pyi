from .build import ReportResult as ReportResult
from .build import build_report as build_report
from .html import Failure as Failure
from .tables import corpus_table as corpus_table
from .tables import cost_text as cost_text
from .tables import headline_table as headline_table
from .tables import published_table as published_table
from .tables import score_table as score_table
