from .dataset import AuditFinding as AuditFinding
from .dataset import AuditReport as AuditReport
from .dataset import audit_clips as audit_clips
from .report import audit_dataset as audit_dataset
from .report import report_json as report_json
from .report import report_text as report_text
from .tables import read_clips as read_clips
