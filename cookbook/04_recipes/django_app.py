"""The same for Django, as a site in one file.

gunicorn --preload --workers 2 django_app:application
"""

import json
import os

import django
from agents import researcher
from django.conf import settings
from django.core.handlers.wsgi import WSGIHandler
from django.http import Http404, HttpRequest, JsonResponse
from django.urls import path

# What a project has in settings.py.
settings.configure(
    ROOT_URLCONF=__name__,
    ALLOWED_HOSTS=["localhost", "127.0.0.1"],
    SECRET_KEY=os.environ.get("SECRET_KEY", os.urandom(32).hex()),
)
django.setup()


def runs(request: HttpRequest) -> JsonResponse:
    task = json.loads(request.body)
    run = researcher.run(task["text"], background=True, session_id=task.get("session_id"))
    return JsonResponse({"run_id": run.run_id, "session_id": run.session_id}, status=202)


def answers(request: HttpRequest) -> JsonResponse:
    return JsonResponse({"content": researcher.run(json.loads(request.body)["text"]).content})


def one_run(request: HttpRequest, run_id: str) -> JsonResponse:
    if request.method == "DELETE":
        return JsonResponse({"cancelled": researcher.cancel_run(run_id)})
    run = researcher.get_run_output(run_id)
    if run is None:
        raise Http404
    return JsonResponse({"status": run.status, "content": run.content, "error": run.error})


urlpatterns = [path("runs", runs), path("answers", answers), path("runs/<str:run_id>", one_run)]
application = WSGIHandler()
