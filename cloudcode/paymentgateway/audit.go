package paymentgateway

import (
	"context"
	"log/slog"
	"time"

	"github.com/pargo-baas/pargo/cloudcode"
	"github.com/pargo-baas/pargo/parse"
)

// auditTimeout bounds one entry of the log.
const auditTimeout = 5 * time.Second

// auditedKey marks the context of writes that the functions log themselves, in
// the transaction of the write.
type auditedKey struct{}

func audited(ctx context.Context) context.Context {
	return context.WithValue(ctx, auditedKey{}, true)
}

func isAudited(ctx context.Context) bool {
	on, _ := ctx.Value(auditedKey{}).(bool)
	return on
}

func (g *gateway) registerAudit() {
	g.app.AfterLogin(func(ctx context.Context, r *cloudcode.LoginRequest) error {
		g.log(ctx, r.Client, r.User.Self(), "login")
		return nil
	})
	g.app.AfterLogout(func(ctx context.Context, r *cloudcode.LogoutRequest) error {
		if user, ok := r.Session.Pointer("user"); ok {
			g.log(ctx, r.Client, user, "logout")
		}
		return nil
	})
	// One hook for several classes has no use for their structs.
	for _, class := range []string{
		cloudcode.ClassOf[PaymentMethod](), cloudcode.ClassOf[TransactionHistory](), cloudcode.ClassOf[Transaction](), cloudcode.ClassOf[Payment](),
	} {
		g.app.AfterSave(class, func(ctx context.Context, r *cloudcode.SaveRequest) error {
			verb := "update"
			if r.IsNew() {
				verb = "create"
			}
			g.logChange(ctx, r.Client, verb, r.Object)
			return nil
		})
		g.app.AfterDelete(class, func(ctx context.Context, r *cloudcode.DeleteRequest) error {
			g.logChange(ctx, r.Client, "delete", r.Object)
			return nil
		})
	}
}

func (g *gateway) logChange(ctx context.Context, c cloudcode.Client, verb string, o *parse.Object) {
	if user, ok := o.Pointer("user"); ok && !isAudited(ctx) {
		g.log(ctx, c, user, verb+" "+o.ClassName+" "+o.ID)
	}
}

// log adds an entry for what has already happened. That it fails is therefore
// nothing that the client could do anything about.
func (g *gateway) log(ctx context.Context, c cloudcode.Client, user parse.Pointer, action string) {
	ctx, cancel := cloudcode.Outlive(ctx, auditTimeout)
	defer cancel()
	if err := g.addLog(ctx, c.AsMaster(), user, action); err != nil {
		g.app.Logger().ErrorContext(ctx, "access log entry lost",
			slog.String("user", user.ObjectID), slog.String("action", action), slog.Any("error", err))
	}
}

func (g *gateway) addLog(ctx context.Context, master cloudcode.Client, user parse.Pointer, action string) error {
	_, err := cloudcode.Create(ctx, master, &AccessLog{User: user, Action: action, Timestamp: g.now()})
	return err
}
