from django.db import migrations, models


class Migration(migrations.Migration):
    initial = True
    dependencies = []
    operations = [
        migrations.CreateModel(
            name="ArchivedMetric",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("kind", models.CharField(max_length=50)),
                ("at", models.DateTimeField()),
                ("fields", models.JSONField()),
                ("mark", models.CharField(max_length=100, unique=True)),
            ],
        ),
    ]
