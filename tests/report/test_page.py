import time
from doxa.report.page import write_report
def test_x(first):
    t=time.time(); write_report(first); print(first, time.time()-t)
