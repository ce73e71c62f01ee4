"""Settings, all that differ between machines from the environment."""

import os
from pathlib import Path
from urllib.parse import unquote, urlsplit, urlunsplit

BASE_DIR = Path(__file__).resolve().parent.parent


def _next_database(url):
    parts = urlsplit(url)
    number = int(parts.path.strip("/") or 0) + 1
    return urlunsplit(parts._replace(path=f"/{number}"))


_database = urlsplit(os.environ.get("YT3_DATABASE_URL", "postgres://youtility3@127.0.0.1:5432/youtility3"))
_redis = os.environ.get("YT3_REDIS_URL", "redis://127.0.0.1:6379/0")

SECRET_KEY = os.environ.get("YT3_SECRET_KEY", "only-for-tests")
DEBUG = False
ALLOWED_HOSTS = ["*"]
TIME_ZONE = "UTC"
USE_TZ = True
ROOT_URLCONF = "youtility3.urls"
WSGI_APPLICATION = "youtility3.wsgi.application"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
INSTALLED_APPS = ["apps.core", "monitoring"]
MIDDLEWARE = ["monitoring.middleware.MonitoringMiddleware"]

DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": _database.path.lstrip("/"),
        "USER": unquote(_database.username or ""),
        "PASSWORD": unquote(_database.password or ""),
        "HOST": _database.hostname,
        "PORT": _database.port or 5432,
        "OPTIONS": {"application_name": "youtility3"},
    }
}

CACHE_TIMEOUT = int(os.environ.get("CACHE_TIMEOUT", "3600"))


def _redis_cache(url):
    return {
        "BACKEND": "django_redis.cache.RedisCache",
        "LOCATION": url,
        "TIMEOUT": CACHE_TIMEOUT,
        "OPTIONS": {"CLIENT_CLASS": "django_redis.client.DefaultClient"},
    }


CACHES = {
    "default": _redis_cache(_redis),
    "metrics": _redis_cache(os.environ.get("YT3_METRICS_REDIS_URL", _next_database(_redis))),
}

# How far back the averages and shares of monitoring look.
METRICS_WINDOW_MINUTES = float(os.environ.get("METRICS_WINDOW_MINUTES", "10"))
METRICS_RETENTION_HOURS = int(os.environ.get("METRICS_RETENTION_HOURS", "24"))
MONITOR_QUERIES = os.environ.get("MONITOR_QUERIES", "true").lower() != "false"

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"timed": {"format": "%(asctime)s %(levelname)s %(name)s: %(message)s"}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "timed"}},
    "root": {"handlers": ["stderr"], "level": "WARNING"},
}
if "YT3_LOG_FILE" in os.environ:
    LOGGING["handlers"]["file"] = {
        "class": "logging.FileHandler",
        "filename": os.environ["YT3_LOG_FILE"],
        "formatter": "timed",
    }
    LOGGING["root"]["handlers"].append("file")
