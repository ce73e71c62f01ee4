from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("core", "0002_ticket_priority")]
    operations = [
        migrations.AddIndex("Ticket", models.Index(fields=["status", "priority"], name="ticket_status_priority"))
    ]
